#!/bin/sh
# Succeeds once the final server answers by TCP, which the temporary one of the initialisation never does.
#
# The usual options, --connect and --innodb_initialized, ask for no more than that, and so are not looked at. A server
# that refuses the password is up as well, and `ping` takes that for an answer.
exec mariadb-admin --no-defaults --protocol=tcp --host=127.0.0.1 --connect-timeout=5 ping
