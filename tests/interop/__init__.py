"""Other people's software against ours: the official SDKs, each in an environment of its own."""
