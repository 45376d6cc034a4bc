"""The client under real programs: servers and job runners, as a service runs them."""
