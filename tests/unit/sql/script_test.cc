// What goes to a server beside SOCI's own parameters: rows as JSON, and the text of
// statements that are sent together.
#include "server/script.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "server/json_rows.h"

namespace carrel::sql::server {
namespace {

TEST(JsonRows, AnArrayKeepsThePlaceOfWhatIsNull) {
  const std::string bytes = "a\xff";
  for (const bool arrays : {false, true}) {
    JsonRows rows(arrays ? RowShape::kArrays : RowShape::kObjects);
    for (int i = 0; i < 2; ++i) {
      rows.row()
          .add("n", i)
          .add("at", std::nullopt)
          .add_bytes("none", nullptr)
          .add_bytes("bytes", &bytes)
          .add_text("text", "\"");
    }
    EXPECT_EQ(rows.take(),
              arrays ? R"([[0,null,null,"61ff","\""],[1,null,null,"61ff","\""]])"
                     : R"([{"n":0,"bytes":"61ff","text":"\""},)"
                       R"({"n":1,"bytes":"61ff","text":"\""}])");
    EXPECT_EQ(rows.take(), "[]");
  }
}

TEST(JsonRows, ColumnsAreArraysInAnArray) {
  JsonRows rows(RowShape::kColumns);
  EXPECT_TRUE(rows.empty());
  rows.row().add("n", 0).add("at", std::nullopt).add_text("text", "a, {\"\\\n\"");
  rows.row().add("n", 1).add("at", 7).add_text("text", "NULL").add("late", 3);
  rows.row().add("n", 2).add("at", std::nullopt).add_text("text", "");
  EXPECT_FALSE(rows.empty());
  EXPECT_EQ(rows.take(), R"({"{0,1,2}","{null,7,null}",)"
                         R"("{\"a, {\\\"\\\\)"
                         "\n"
                         R"(\\\"\",\"NULL\",\"\"}","{NULL,3,NULL}"})");
  EXPECT_TRUE(rows.empty());
  EXPECT_EQ(rows.take(), "{}");
}

TEST(JsonRows, ColumnsAreFullAsTheRestIs) {
  JsonRows rows(RowShape::kColumns);
  const std::string half(JsonRows::kFull / 2, 'a');
  rows.row().add_text("a", half);
  EXPECT_FALSE(rows.full());
  rows.add_text("b", half);
  EXPECT_TRUE(rows.full());
}

TEST(Script, AValueIsALiteralWhateverIsInIt) {
  const std::vector<std::string> names = {"it's", std::string("\\\0:b", 4)};
  const std::vector<JobId> ids = {JobId{7}, JobId{1ULL << 62}};
  EXPECT_EQ(with_values("SET @a := :names; SELECT :none, :ids, :n_1;:names",
                        {{"names", literals(names)},
                         {"none", literals(std::span<const JobId>())},
                         {"ids", literals(ids)},
                         {"n_", literal(-5)}}),
            "SET @a := X'69742773',X'5c003a62'; SELECT NULL, 7,4611686018427387904, -51;"
            "X'69742773',X'5c003a62'");
  EXPECT_THROW(with_values(":a", {}), std::logic_error);
}

}  // namespace
}  // namespace carrel::sql::server
