//! What the kernel's module files, indexes, configuration and messages mean. Pure: bytes in, values out.
