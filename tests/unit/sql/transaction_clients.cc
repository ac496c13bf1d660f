#include "transaction_clients.h"

#include <libpq-fe.h>
#include <mysql.h>
#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <variant>

namespace carrel::test {
namespace {

using sql::SqlStatement;

void need(bool ok, const SqlStatement& statement, const std::string& why) {
  if (!ok) throw std::runtime_error(statement.text + ": " + why);
}

class SqliteClient final : public HostClient {
 public:
  explicit SqliteClient(const std::string& file) {
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
    db_.reset(db);
    if (code != SQLITE_OK) throw std::runtime_error(file + ": " + sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 10'000);
  }

  std::vector<std::string> run(const SqlStatement& statement) override {
    const std::string& text = statement.text;
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(db_.get(), text.data(),
                                        static_cast<int>(text.size()), &made, nullptr);
    const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> prepared(
        made, &sqlite3_finalize);
    need(code == SQLITE_OK, statement, sqlite3_errmsg(db_.get()));
    const std::size_t places =
        static_cast<std::size_t>(sqlite3_bind_parameter_count(made));
    need(places == statement.parameters.size(), statement, "other parameters");
    for (std::size_t i = 0; i < places; ++i) {
      need(bind(made, static_cast<int>(i) + 1, statement.parameters[i]) == SQLITE_OK,
           statement, sqlite3_errmsg(db_.get()));
    }
    need(sqlite3_column_count(made) <= 1, statement, "more than one column");
    std::vector<std::string> rows;
    int step = sqlite3_step(made);
    for (; step == SQLITE_ROW; step = sqlite3_step(made)) {
      rows.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(made, 0)));
    }
    need(step == SQLITE_DONE, statement, sqlite3_errmsg(db_.get()));
    return rows;
  }

 private:
  static int bind(sqlite3_stmt* prepared, int place, const sql::SqlValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      return sqlite3_bind_int64(prepared, place, *number);
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
      return sqlite3_bind_text(prepared, place, text->data(),
                               static_cast<int>(text->size()), SQLITE_STATIC);
    }
    return sqlite3_bind_null(prepared, place);
  }

  std::unique_ptr<sqlite3, decltype(&sqlite3_close)> db_{nullptr, &sqlite3_close};
};

class PostgresqlClient final : public HostClient {
 public:
  explicit PostgresqlClient(const std::string& connect)
      : connection_(PQconnectdb((connect + " client_encoding=UTF8").c_str()), &PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
      throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
  }

  std::vector<std::string> run(const SqlStatement& statement) override {
    std::vector<std::string> texts;
    for (const auto& value : statement.parameters) {
      const auto* number = std::get_if<std::int64_t>(&value);
      const auto* text = std::get_if<std::string>(&value);
      texts.push_back(number != nullptr ? std::to_string(*number)
                      : text != nullptr ? *text
                                        : "");
    }
    std::vector<const char*> values;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const bool null = std::holds_alternative<std::monostate>(statement.parameters[i]);
      values.push_back(null ? nullptr : texts[i].c_str());
    }
    expect_types(statement);
    const PgAnswer result(PQexecParams(connection_.get(), statement.text.c_str(),
                                       static_cast<int>(values.size()), nullptr,
                                       values.data(), nullptr, nullptr, 0),
                          &PQclear);
    expect_done(result.get(), statement);
    need(PQnfields(result.get()) <= 1, statement, "more than one column");
    std::vector<std::string> rows;
    for (int i = 0; i < PQntuples(result.get()); ++i) {
      rows.emplace_back(PQgetvalue(result.get(), i, 0));
    }
    return rows;
  }

 private:
  using PgAnswer = std::unique_ptr<PGresult, decltype(&PQclear)>;

  void expect_done(const PGresult* result, const SqlStatement& statement) {
    const ExecStatusType status = PQresultStatus(result);
    need(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, statement,
         PQerrorMessage(connection_.get()));
  }

  // What a client that asks for them is told, and one that binds in binary relies on.
  void expect_types(const SqlStatement& statement) {
    constexpr Oid kInt8 = 20, kText = 25;
    PGconn* const connection = connection_.get();
    const PgAnswer prepared(PQprepare(connection, "", statement.text.c_str(), 0, nullptr),
                            &PQclear);
    expect_done(prepared.get(), statement);
    const PgAnswer types(PQdescribePrepared(connection, ""), &PQclear);
    expect_done(types.get(), statement);
    for (std::size_t i = 0; i < statement.parameters.size(); ++i) {
      const bool text = std::holds_alternative<std::string>(statement.parameters[i]);
      need(PQparamtype(types.get(), static_cast<int>(i)) == (text ? kText : kInt8),
           statement, "parameter " + std::to_string(i + 1) + " is of another type");
    }
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

class MariadbClient final : public HostClient {
 public:
  explicit MariadbClient(int port) : connection_(mysql_init(nullptr), &mysql_close) {
    mysql_options(connection_.get(), MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect(connection_.get(), "127.0.0.1", "carrel", nullptr, "carrel",
                           static_cast<unsigned>(port), nullptr, 0) == nullptr) {
      throw std::runtime_error(mysql_error(connection_.get()));
    }
  }

  std::vector<std::string> run(const SqlStatement& statement) override {
    const std::unique_ptr<MYSQL_STMT, decltype(&mysql_stmt_close)> prepared(
        mysql_stmt_init(connection_.get()), &mysql_stmt_close);
    MYSQL_STMT* const stmt = prepared.get();
    const auto done = [&](bool ok) { need(ok, statement, mysql_stmt_error(stmt)); };
    done(mysql_stmt_prepare(stmt, statement.text.data(), statement.text.size()) == 0);
    std::vector<sql::SqlValue> values = statement.parameters;  // bound as not const
    need(mysql_stmt_param_count(stmt) == values.size(), statement, "other parameters");
    std::vector<MYSQL_BIND> binds;
    for (auto& value : values) binds.push_back(bind(value));
    done(binds.empty() || mysql_stmt_bind_param(stmt, binds.data()) == 0);
    done(mysql_stmt_execute(stmt) == 0);
    std::vector<std::string> rows;
    if (mysql_stmt_field_count(stmt) == 0) return rows;
    need(mysql_stmt_field_count(stmt) == 1, statement, "more than one column");
    std::array<char, 64> column{};
    unsigned long length = 0;
    MYSQL_BIND into{};
    into.buffer_type = MYSQL_TYPE_STRING;
    into.buffer = column.data();
    into.buffer_length = column.size();
    into.length = &length;
    done(mysql_stmt_bind_result(stmt, &into) == 0);
    int fetched = mysql_stmt_fetch(stmt);
    for (; fetched == 0; fetched = mysql_stmt_fetch(stmt)) {
      rows.emplace_back(column.data(), length);
    }
    done(fetched == MYSQL_NO_DATA);
    return rows;
  }

 private:
  static MYSQL_BIND bind(sql::SqlValue& value) {
    MYSQL_BIND bound{};
    bound.buffer_type = MYSQL_TYPE_NULL;
    if (auto* number = std::get_if<std::int64_t>(&value)) {
      bound.buffer_type = MYSQL_TYPE_LONGLONG;
      bound.buffer = number;
    } else if (auto* text = std::get_if<std::string>(&value)) {
      bound.buffer_type = MYSQL_TYPE_STRING;
      bound.buffer = text->data();
      bound.buffer_length = text->size();
    }
    return bound;
  }

  std::unique_ptr<MYSQL, decltype(&mysql_close)> connection_;
};

}  // namespace

std::unique_ptr<HostClient> sqlite_client(const std::string& file) {
  return std::make_unique<SqliteClient>(file);
}

std::unique_ptr<HostClient> postgresql_client(const std::string& connect) {
  return std::make_unique<PostgresqlClient>(connect);
}

std::unique_ptr<HostClient> mariadb_client(int port) {
  return std::make_unique<MariadbClient>(port);
}

}  // namespace carrel::test
