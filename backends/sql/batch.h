// The answers to a batch of rows of which some are refused before the database sees them,
// so that they fail alone.
#pragma once

#include <carrel/result.h>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace carrel::sql {

template <class Row, class Answer>
class Batch {
 public:
  // `check`: Result<void>(const Row&). The rows are borrowed.
  template <class Check>
  Batch(std::span<const Row> rows, Check check) {
    answers_.reserve(rows.size());
    for (const Row& row : rows) {
      if (Result<void> ok = check(row); !ok) {
        answers_.emplace_back(tl::unexpected(ok.error()));
      } else {
        places_.push_back(answers_.size());
        good_.push_back(&row);
        answers_.emplace_back();
      }
    }
  }

  std::span<const Row* const> good() const { return good_; }

  // The answers to all, those to good() in their places.
  std::vector<Result<Answer>> with_each(std::vector<Result<Answer>> answers) {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      answers_[places_[i]] = std::move(answers[i]);
    }
    return std::move(answers_);
  }
  std::vector<Result<Answer>> with(Result<std::vector<Answer>> answers) {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (answers) {
        answers_[places_[i]] = std::move((*answers)[i]);
      } else {
        answers_[places_[i]] = tl::unexpected(answers.error());
      }
    }
    return std::move(answers_);
  }

 private:
  std::vector<Result<Answer>> answers_;
  std::vector<std::size_t> places_;
  std::vector<const Row*> good_;
};

}  // namespace carrel::sql
