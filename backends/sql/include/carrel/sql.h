// The SQL stores: jobs in a database, through SOCI.
//
//   carrel::Registry registry = carrel::Registry::with_builtins();
//   carrel::register_sql(registry);          // only where the store is linked in
//
// A program that does not link it gets it as a module, libcarrel_sql.so, when it first
// asks for a URL of one of these schemes.
#pragma once

#include <carrel/registry.h>

namespace carrel {

// Adds the scheme "sqlite":
// sqlite:PATH[?synchronous=FULL|NORMAL|OFF&busy_timeout=5s&migrate=on|new|off]. Opening
// makes the tables where there are none, and brings older ones forward (`migrate`).
//
// PATH is taken as it is given; nothing in it is decoded. The file is made if it is not
// there, its directory is not. Beside it stand PATH-wal and PATH-shm, which belong to
// SQLite, and PATH-gate, by which the processes that share the file take turns to write;
// all four are needed while any process has the store open. The file must be on a local
// disk.
//
// Adds "postgresql", also called "postgres":
// postgresql://[user[:password]@]host[:port]/database[?options], and "mysql", also called
// "mariadb", for MariaDB: mysql://[user[:password]@]host[:port]/database[?options].
// Opening makes the tables where there are none, and brings none forward unless the URL
// says migrate=on. The server's clock is the store's:
// BackendOptions::clock is not used.
//
// A store made here may be used by any number of threads, and one file by any number of
// stores and processes of one host, a database of a server by those of any host. The
// child of a fork must not touch a store of its parent, nor run its destructor: it ends
// with _exit or becomes another program.
//
// backends/sql/README.md says what is promised, and how.
void register_sql(Registry& registry);

}  // namespace carrel
