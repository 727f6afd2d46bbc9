#!/bin/sh
# Hook of dracut, before `udevadm trigger`.
coldplug-load
