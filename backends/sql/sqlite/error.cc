#include "error.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cerrno>

#include "schema_version.h"

namespace carrel::sql::sqlite {

Error current_error(const std::string& path) noexcept {
  try {
    throw;
  } catch (const SchemaTooNew& e) {
    return error_of(path, e);
  } catch (const soci::sqlite3_soci_error& e) {
    return error_of(path, e.result(), e.get_error_message());
  } catch (const soci::soci_error& e) {
    return {Code::kInternal, path + ": " + e.get_error_message(), kOrigin, 0,
            Duration{0}};
  } catch (const std::bad_alloc&) {
    return {Code::kUnavailable, path + ": no memory", kOrigin, 0, Duration{0}};
  } catch (const std::exception& e) {
    return {Code::kInternal, path + ": " + e.what(), kOrigin, 0, Duration{0}};
  } catch (...) {
    return {Code::kInternal, path + ": unknown exception", kOrigin, 0, Duration{0}};
  }
}

}  // namespace carrel::sql::sqlite
