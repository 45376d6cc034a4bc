"""Who may look and who may act: tokens, an authenticating proxy, or OpenID Connect."""
