// Whether a file may have been committed to, as the index of its write-ahead log says:
// without a statement, a lock of the file or a call of the system.
#pragma once

#include <soci/sqlite3/soci-sqlite3.h>

#include <array>
#include <cstdint>

namespace carrel::sql::sqlite {

// Used by whoever uses the connection.
class LogIndex {
 public:
  // False: nothing was committed to `connection`'s file since the call before, by
  // whoever. True also where that cannot be told.
  bool changed(sqlite_api::sqlite3* connection) noexcept;

 private:
  // https://www.sqlite.org/walformat.html#the_wal_index_header
  using Header = std::array<std::uint32_t, 12>;
  static bool read(sqlite_api::sqlite3* connection, Header& header) noexcept;

  Header seen_{};
};

}  // namespace carrel::sql::sqlite
