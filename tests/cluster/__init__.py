"""Replicas as hosts of a network: each in a network namespace of its own, over links that delay, lose and part."""
