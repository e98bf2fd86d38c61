"""What lies below third_party is a distribution to be installed, and brings tests of its own."""

collect_ignore = ["third_party"]
