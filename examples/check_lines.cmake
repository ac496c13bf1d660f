# Runs PROGRAM with ARGUMENTS; fails unless it succeeds and prints every line of EXPECTED.
execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} OUTPUT_VARIABLE printed
                ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM}: exit ${status}\n${printed}${errors}")
endif()
file(STRINGS ${EXPECTED} lines ENCODING UTF-8)
foreach(line IN LISTS lines)
  string(FIND "\n${printed}" "\n${line}\n" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${PROGRAM} printed\n${printed}${errors}\nwithout the line\n${line}")
  endif()
endforeach()
