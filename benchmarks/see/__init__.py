"""How often does ``qualify see`` err? Runs on sound deployments, and on planted faults."""
