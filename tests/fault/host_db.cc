#include "host_db.h"

#include <carrel/registry.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <stdexcept>

namespace carrel::fault {
namespace {

constexpr const char* kEnqueued = "host_enqueued";
constexpr const char* kCompleted = "host_completed";

std::unique_ptr<soci::session> open(const std::string& text) {
  const Url url = Url::parse(text).value();
  if (url.scheme == "sqlite") {
    return std::make_unique<soci::session>(soci::sqlite3,
                                           "dbname=\"" + url.rest + "\" timeout=10");
  }
  const std::string where =
      "host=127.0.0.1 user=carrel dbname=carrel port=" +
      text.substr(text.rfind(':') + 1, text.rfind('/') - text.rfind(':') - 1);
  if (url.scheme == "postgresql") {
    // What a server says when it is ended is no news here.
    return std::make_unique<soci::session>(
        soci::postgresql, where + " options='-c client_min_messages=error'");
  }
  return std::make_unique<soci::session>(soci::mysql, where);
}

}  // namespace

HostDb::HostDb(const std::string& url) : session_(open(url)) {}

HostDb::~HostDb() = default;

// Neither has a key: what is written twice is there twice.
void HostDb::make_tables() {
  for (const char* table : {kEnqueued, kCompleted}) {
    *session_ << "CREATE TABLE " << table << " (job BIGINT, fence BIGINT)";
  }
}

void HostDb::begin() {
  const bool sqlite = session_->get_backend_name() == "sqlite3";
  *session_ << (sqlite ? "BEGIN IMMEDIATE" : "BEGIN");
}

void HostDb::commit() { *session_ << "COMMIT"; }

void HostDb::rollback() { *session_ << "ROLLBACK"; }

void HostDb::write_enqueued(JobId job) { write(kEnqueued, {job, Fence{}}); }

void HostDb::write_completed(const Lease& run) { write(kCompleted, run); }

void HostDb::write(const char* table, const Lease& run) {
  *session_ << "INSERT INTO " << table << " (job, fence) VALUES (" << value(run.id)
            << ", " << value(run.fence) << ")";
}

std::vector<Lease> HostDb::read(const char* table) {
  std::vector<Lease> all;
  long long job = 0;
  long long fence = 0;
  soci::statement select = (session_->prepare << "SELECT job, fence FROM " << table,
                            soci::into(job), soci::into(fence));
  select.execute();
  while (select.fetch()) {
    all.push_back({JobId{static_cast<std::uint64_t>(job)},
                   Fence{static_cast<std::uint64_t>(fence)}});
  }
  return all;
}

HostDb::Rows HostDb::take_rows() {
  Rows rows = {read(kEnqueued), read(kCompleted)};
  for (const char* table : {kEnqueued, kCompleted}) *session_ << "DELETE FROM " << table;
  return rows;
}

}  // namespace carrel::fault
