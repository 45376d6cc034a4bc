"""A service's database on a hosted platform, and its statements; each made for the tests from a description."""
