"""OFREP: flags evaluated over HTTP by the protocol of OpenFeature (extra `ofrep`)."""
