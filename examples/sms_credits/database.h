// The host's own table, in the database where its jobs are: a community and its credits.
#pragma once

#include <memory>
#include <string>

namespace soci {
class session;
}

namespace sms {

// One session, for one thread. Everything throws soci::soci_error.
class Database {
 public:
  // A store's URL: "sqlite:FILE", "postgresql://…", "mysql://…".
  explicit Database(const std::string& store);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Makes the table where there is none, and the community anew.
  void set(const std::string& community, long long credits);
  void remove(const std::string& community);

  long long credits(const std::string& community);  // the check …
  void take_one(const std::string& community);      // … and the set
  // Both in one statement. False: there is none left, and nothing was changed.
  bool take_one_if_any(const std::string& community);

  soci::session& session() { return *session_; }

  // Rolls back unless it was committed.
  class Transaction {
   public:
    explicit Transaction(Database& database);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    Database& database_;
    bool open_ = true;
  };

 private:
  const std::string kind_;
  const std::unique_ptr<soci::session> session_;
};

// The calling thread's own; in a forked child, made there.
Database& database(const std::string& store);

}  // namespace sms
