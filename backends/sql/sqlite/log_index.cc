#include "log_index.h"

#include <utility>

namespace carrel::sql::sqlite {

bool LogIndex::changed(sqlite_api::sqlite3* connection) noexcept {
  Header now{};
  if (!read(connection, now)) return true;
  return std::exchange(seen_, now) != now;
}

// The memory is SQLite's, which maps it once for all connections of a process, and says
// again where it is at no cost. To open the file beside it would not do: to close that
// lifts the locks that SQLite has on it.
//
// A header that is read while it is written differs from the one before, and from the one
// that follows, so that it is looked at again. SQLite writes its second copy before this
// one, by memcpy, which a thread sanitizer takes for a race.
__attribute__((no_sanitize("thread"))) bool LogIndex::read(
    sqlite_api::sqlite3* connection, Header& header) noexcept {
  constexpr int kRegion = 32 * 1024;  // bytes that the index grows by
  sqlite_api::sqlite3_file* file = nullptr;
  if (sqlite_api::sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER,
                                       &file) != SQLITE_OK ||
      file == nullptr || file->pMethods == nullptr || file->pMethods->iVersion < 2) {
    return false;
  }
  volatile void* memory = nullptr;
  if (file->pMethods->xShmMap(file, 0, kRegion, 0, &memory) != SQLITE_OK ||
      memory == nullptr) {
    return false;
  }
  const auto* words = static_cast<const volatile std::uint32_t*>(memory);
  for (std::size_t i = 0; i < header.size(); ++i) {
    header[i] = __atomic_load_n(words + i, __ATOMIC_ACQUIRE);
  }
  return header[0] != 0;  // the format's version: 0 before there is an index
}

}  // namespace carrel::sql::sqlite
