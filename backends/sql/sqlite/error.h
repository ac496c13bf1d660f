// What went wrong in SQLite, in carrel's words.
#pragma once

#include <carrel/result.h>

#include <string>
#include <string_view>

namespace carrel::sql::sqlite {

inline constexpr const char* kOrigin = "sqlite";  // Error::origin

// `result` is a code of SQLite, extended or not. A full disk, an I/O error, a lock that
// did not come: kUnavailable, since trying again later helps. A file that is damaged or
// is no database: kCorrupt. SOCI itself calls most of these "unknown".
Code code_of(int result) noexcept;

// `error` is an errno of opening a file. kInvalid where its name or its permissions are
// wrong, else kUnavailable: a file system that is read-only or full, no descriptor.
Code code_of_errno(int error) noexcept;

// Of the exception that is being handled. The message names `path`, and never holds the
// statement or its parameters, which are the caller's data.
Error current_error(const std::string& path) noexcept;

Error error_of(const std::string& path, int result, std::string_view what);

}  // namespace carrel::sql::sqlite
