//! System tests: drive the built program.
