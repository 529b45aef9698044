"""Resource subscriptions as clients see them: over the wire, by two independent clients, in both revisions."""
