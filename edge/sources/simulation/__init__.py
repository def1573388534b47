"""What the simulator shows: parts, their defects, the belt under them, and when which part comes."""
