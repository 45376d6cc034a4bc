"""OFREP: flags evaluated for whoever asks by OpenFeature's protocol over HTTP (extra `ofrep`)."""
