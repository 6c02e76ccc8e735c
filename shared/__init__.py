"""What the services of this workspace share: settings, models, the envelope of their answers."""
