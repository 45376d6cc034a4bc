"""Live pages: one listening connection a process, and one stream of versions a browser."""
