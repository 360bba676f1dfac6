# SPDX-License-Identifier: Apache-2.0
# Installation: headers, both libraries, the tool and its manual, and what pkg-config and find_package(sardonyx) need. The static
# library is a file of targets of its own, because only its users need the
# libraries it is made of.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/sardonyx)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS sardonyx_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES tools/sardonyx.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(TARGETS sardonyx EXPORT sardonyx_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS sardonyx_static EXPORT sardonyx_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT sardonyx_shared NAMESPACE sardonyx:: FILE sardonyx-shared.cmake DESTINATION ${PACKAGE_FOLDER})
install(EXPORT sardonyx_static NAMESPACE sardonyx:: FILE sardonyx-static.cmake DESTINATION ${PACKAGE_FOLDER})

list(JOIN NEEDED_MODULES " " NEEDED_MODULES_TEXT)
configure_package_config_file(cmake/sardonyx-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/sardonyx-config.cmake
  INSTALL_DESTINATION ${PACKAGE_FOLDER} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/sardonyx-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sardonyx-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/sardonyx-config-version.cmake
  DESTINATION ${PACKAGE_FOLDER})

# From the .pc file up to the prefix, so that an installed tree can be moved.
file(RELATIVE_PATH PREFIX_FROM_PC /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(cmake/sardonyx.pc.in ${CMAKE_CURRENT_BINARY_DIR}/sardonyx.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sardonyx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
