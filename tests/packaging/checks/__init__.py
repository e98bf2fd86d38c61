"""What can be wrong with a distribution: each check answers with its complaints, none if all is well."""
