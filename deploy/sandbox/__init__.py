"""A local Slack: Web API, Socket Mode and events that an unmodified Bolt app cannot tell apart."""
