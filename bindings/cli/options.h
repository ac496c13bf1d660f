// Options that several commands have, and checks of what is given to them: a check
// answers what CLI11 is to say of a text; empty: it is right.
#pragma once

#include <carrel/job.h>
#include <carrel/store.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace carrel::cli {

CLI::Option* duration(CLI::App* app, const std::string& name, Duration& out,
                      const std::string& help);
CLI::Option* job_ids(CLI::App* app, std::vector<JobId>& out);
void filter(CLI::App* app, Filter& out);
void before(CLI::App* app, JobId& out, const char* help);

// A text of the user's, for a message; of a URL no password.
std::string shown(const std::string& text);

// An option whose values are ids of jobs, or decimal numbers: by itself CLI11 takes 010
// for 8, and 0x3 for 3.
CLI::Option* job_id(CLI::Option* option);
CLI::Option* decimal(CLI::Option* option);

// Of a text that a script left empty, most likely by a variable that was not set.
std::string empty_text(const std::string& text);
// Of a kind or queue to look for.
std::string no_name(const std::string& text);

}  // namespace carrel::cli
