// What test programs over database servers have in common: the servers, and main.
#pragma once

#include <initializer_list>
#include <string>

#include "mariadb.h"
#include "postgres.h"

namespace carrel::test {

// The program's own, which its cases share: started when first asked for, stopped by
// run_server_tests(). Of the thread that runs the cases.
PostgresServer& postgres();
MariadbServer& mariadb();

// The end of a main that has called InitGoogleTest(): runs the cases. Answers 77, which
// CTest knows as "skipped", where something is missing; `missing`: what each server says
// of that.
int run_server_tests(std::initializer_list<std::string> missing);

}  // namespace carrel::test
