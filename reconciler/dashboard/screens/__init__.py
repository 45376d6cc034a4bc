"""The values of screens: each is read in one short transaction, and a template shows it."""
