# Runs PROGRAM on a copy of CONFIG in FOLDER, made afresh; fails unless it succeeds and
# prints what is in EXPECTED.
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
file(COPY ${CONFIG} DESTINATION ${FOLDER})
get_filename_component(config ${CONFIG} NAME)

execute_process(COMMAND ${PROGRAM} ${config} WORKING_DIRECTORY ${FOLDER}
                OUTPUT_VARIABLE printed ERROR_VARIABLE errors RESULT_VARIABLE status)
file(REMOVE_RECURSE ${FOLDER})
file(READ ${EXPECTED} expected)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ${config}: exit ${status}\n${printed}${errors}")
endif()
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "${PROGRAM} ${config} printed\n${printed}${errors}\ninstead of\n${expected}")
endif()
