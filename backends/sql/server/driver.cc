#include "server/driver.h"

#include <new>

namespace carrel::sql::server {

Failure common_failure(const std::string& place, const char* origin) noexcept {
  const auto of = [&](Code code, const std::string& why) {
    return Failure{{code, place + ": " + why, origin, 0, Duration{0}}};
  };
  try {
    throw;
  } catch (const Conflict&) {
    Failure failure = of(Code::kUnavailable, "another transaction came in between");
    failure.conflict = true;
    return failure;
  } catch (const UnseenWaiting&) {
    return of(Code::kUnsupported,
              "whoever waits for the limit of this job may have come after this "
              "transaction's snapshot: use READ COMMITTED");
  } catch (const Away& away) {
    return {away.error, true, false};
  } catch (const soci::soci_error& e) {
    // Not what(): that holds the parameters, payloads among them.
    return of(Code::kInternal, e.get_error_message());
  } catch (const std::bad_alloc&) {
    return of(Code::kUnavailable, "no memory");
  } catch (const std::exception& e) {
    return of(Code::kInternal, e.what());
  } catch (...) {
    return of(Code::kInternal, "unknown exception");
  }
}

}  // namespace carrel::sql::server
