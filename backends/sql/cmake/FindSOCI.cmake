# Finds SOCI, which many distributions ship without a CMake configuration.
#
#   find_package(SOCI 4.0.3 REQUIRED COMPONENTS core sqlite3)
#
# Components: core, and one a database: sqlite3, postgresql, mysql. Gives the imported
# targets SOCI::core and SOCI::<component>, which bring what they need of the database's
# own client library. Sets SOCI_FOUND and SOCI_VERSION. SOCI_ROOT or CMAKE_PREFIX_PATH
# name a place other than the system's.
include(FindPackageHandleStandardArgs)

if(NOT SOCI_FIND_COMPONENTS)
  set(SOCI_FIND_COMPONENTS core)
endif()

find_path(SOCI_INCLUDE_DIR NAMES soci/soci.h)
find_library(SOCI_core_LIBRARY NAMES soci_core)
mark_as_advanced(SOCI_INCLUDE_DIR SOCI_core_LIBRARY)

if(SOCI_INCLUDE_DIR AND EXISTS "${SOCI_INCLUDE_DIR}/soci/version.h")
  file(STRINGS "${SOCI_INCLUDE_DIR}/soci/version.h" _soci_line
       REGEX "define[ \t]+SOCI_LIB_VERSION[ \t]+\"")
  # "4_0_3"
  string(REGEX REPLACE ".*\"([0-9_]+)\".*" "\\1" SOCI_VERSION "${_soci_line}")
  string(REPLACE "_" "." SOCI_VERSION "${SOCI_VERSION}")
  unset(_soci_line)
endif()

# What a database's part of SOCI shows of that database in its headers.
set(_soci_sqlite3_needs SQLite3 SQLite::SQLite3)
set(_soci_postgresql_needs PostgreSQL PostgreSQL::PostgreSQL)

if(SOCI_INCLUDE_DIR AND SOCI_core_LIBRARY)
  set(SOCI_core_FOUND TRUE)
  if(NOT TARGET SOCI::core)
    add_library(SOCI::core UNKNOWN IMPORTED)
    set_target_properties(SOCI::core PROPERTIES
      IMPORTED_LOCATION "${SOCI_core_LIBRARY}"
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${SOCI_INCLUDE_DIR}"
      INTERFACE_INCLUDE_DIRECTORIES "${SOCI_INCLUDE_DIR}")
  endif()
endif()

foreach(_soci_part IN LISTS SOCI_FIND_COMPONENTS)
  if(_soci_part STREQUAL "core")
    continue()
  endif()
  find_library(SOCI_${_soci_part}_LIBRARY NAMES soci_${_soci_part})
  mark_as_advanced(SOCI_${_soci_part}_LIBRARY)
  set(_soci_links SOCI::core)
  if(_soci_${_soci_part}_needs)
    list(GET _soci_${_soci_part}_needs 0 _soci_package)
    list(GET _soci_${_soci_part}_needs 1 _soci_target)
    find_package(${_soci_package} QUIET)
    if(NOT ${_soci_package}_FOUND)
      continue()
    endif()
    list(APPEND _soci_links ${_soci_target})
  elseif(_soci_part STREQUAL "mysql")  # MySQL's and MariaDB's client have no module of CMake's
    find_path(SOCI_mysql_client_INCLUDE_DIR NAMES mysql.h PATH_SUFFIXES mariadb mysql)
    find_library(SOCI_mysql_client_LIBRARY NAMES mariadb mysqlclient)
    mark_as_advanced(SOCI_mysql_client_INCLUDE_DIR SOCI_mysql_client_LIBRARY)
    if(NOT SOCI_mysql_client_INCLUDE_DIR OR NOT SOCI_mysql_client_LIBRARY)
      continue()
    endif()
    if(NOT TARGET SOCI::mysql_client)
      add_library(SOCI::mysql_client UNKNOWN IMPORTED)
      set_target_properties(SOCI::mysql_client PROPERTIES
        IMPORTED_LOCATION "${SOCI_mysql_client_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${SOCI_mysql_client_INCLUDE_DIR}")
    endif()
    list(APPEND _soci_links SOCI::mysql_client)
  endif()
  if(SOCI_core_FOUND AND SOCI_${_soci_part}_LIBRARY)
    set(SOCI_${_soci_part}_FOUND TRUE)
    if(NOT TARGET SOCI::${_soci_part})
      add_library(SOCI::${_soci_part} UNKNOWN IMPORTED)
      set_target_properties(SOCI::${_soci_part} PROPERTIES
        IMPORTED_LOCATION "${SOCI_${_soci_part}_LIBRARY}"
        INTERFACE_LINK_LIBRARIES "${_soci_links}")
    endif()
  endif()
endforeach()
unset(_soci_part)
unset(_soci_links)
unset(_soci_package)
unset(_soci_target)
unset(_soci_sqlite3_needs)
unset(_soci_postgresql_needs)

find_package_handle_standard_args(SOCI
  REQUIRED_VARS SOCI_core_LIBRARY SOCI_INCLUDE_DIR
  VERSION_VAR SOCI_VERSION
  HANDLE_COMPONENTS)
