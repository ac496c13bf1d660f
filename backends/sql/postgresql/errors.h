// What PostgreSQL's errors mean, without its client library.
#pragma once

#include <carrel/result.h>

#include <string_view>

namespace carrel::sql::postgresql {

// "Cannot execute query. Fatal error. ERROR:  no such thing\nCONTEXT: …" → "no such
// thing". What follows the first line may quote parameters, payloads among them.
std::string_view essence(std::string_view message);

Code code_of(std::string_view sqlstate);
bool ends_session(std::string_view sqlstate);

}  // namespace carrel::sql::postgresql
