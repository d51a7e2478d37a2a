"""The client of MCP servers. Only workers load the `mcp` library, when it is first needed."""
