"""A local Slack: its Web API, Socket Mode and events, so that an unmodified Bolt app cannot tell."""
