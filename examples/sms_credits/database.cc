#include "database.h"

#include <curl/curl.h>
#include <soci/soci.h>

#include <stdexcept>

namespace sms {
namespace {

std::string part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, CURLU_URLDECODE) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

std::string quoted(const char* name, const std::string& value) {
  return value.empty() ? "" : std::string(name) + "='" + value + "' ";
}

// What SOCI's backends for servers take, of a URL's own parts.
std::string words_of(const std::string& url, bool mysql) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(),
                                                                   &curl_url_cleanup);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK) {
    throw std::runtime_error("not a URL: " + url);
  }
  const std::string path = part(parsed.get(), CURLUPART_PATH);
  return quoted(mysql ? "db" : "dbname", path.empty() ? path : path.substr(1)) +
         quoted("user", part(parsed.get(), CURLUPART_USER)) +
         quoted("password", part(parsed.get(), CURLUPART_PASSWORD)) +
         quoted("host", part(parsed.get(), CURLUPART_HOST)) +
         quoted("port", part(parsed.get(), CURLUPART_PORT));
}

std::string kind_of(const std::string& store) {
  const std::string scheme = store.substr(0, store.find(':'));
  return scheme == "sqlite" ? "sqlite3" : scheme;
}

std::unique_ptr<soci::session> open(const std::string& kind, const std::string& store) {
  if (kind == "sqlite3") {
    const std::size_t from = store.find(':') + 1;
    // The lock that another holds is waited for, 20 s at most.
    return std::make_unique<soci::session>(
        kind, "db=\"" + store.substr(from, store.find('?') - from) + "\" timeout=20");
  }
  return std::make_unique<soci::session>(kind, words_of(store, kind == "mysql"));
}

}  // namespace

Database::Database(const std::string& store)
    : kind_(kind_of(store)), session_(open(kind_, store)) {}

Database::~Database() = default;

void Database::set(const std::string& community, long long credits) {
  *session_ << "CREATE TABLE IF NOT EXISTS sms_communities ("
               "name VARCHAR(100) PRIMARY KEY, credits BIGINT NOT NULL)";
  remove(community);
  *session_ << "INSERT INTO sms_communities (name, credits) VALUES (:name, :credits)",
      soci::use(community, "name"), soci::use(credits, "credits");
}

void Database::remove(const std::string& community) {
  *session_ << "DELETE FROM sms_communities WHERE name = :name",
      soci::use(community, "name");
}

long long Database::credits(const std::string& community) {
  long long credits = 0;
  *session_ << "SELECT credits FROM sms_communities WHERE name = :name",
      soci::use(community, "name"), soci::into(credits);
  return credits;
}

void Database::take_one(const std::string& community) {
  *session_ << "UPDATE sms_communities SET credits = credits - 1 WHERE name = :name",
      soci::use(community, "name");
}

bool Database::take_one_if_any(const std::string& community) {
  soci::statement take = (session_->prepare << "UPDATE sms_communities SET credits = "
                                               "credits - 1 WHERE name = :name AND "
                                               "credits > 0",
                          soci::use(community, "name"));
  take.execute(true);
  return take.get_affected_rows() == 1;
}

Database::Transaction::Transaction(Database& database) : database_(database) {
  if (database_.kind_ == "sqlite3") {
    database_.session() << "BEGIN IMMEDIATE";  // not a lock that may have to be given up
  } else {
    database_.session().begin();
  }
}

Database::Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.session().rollback();
  } catch (const std::exception&) {  // the connection is gone, and the transaction too
  }
}

void Database::Transaction::commit() {
  database_.session().commit();
  open_ = false;
}

Database& database(const std::string& store) {
  thread_local const auto own = std::make_unique<Database>(store);
  return *own;
}

}  // namespace sms
