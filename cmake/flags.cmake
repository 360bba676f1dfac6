# SPDX-License-Identifier: Apache-2.0
# Flags of our own sources: warnings are errors; hardening in every build; no -ffast-math anywhere.
add_library(sardonyx_flags INTERFACE)
target_compile_definitions(sardonyx_flags INTERFACE _GNU_SOURCE)
target_compile_options(sardonyx_flags INTERFACE
  -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow -Wvla -Wformat=2 -Wcast-align=strict -Wswitch-enum
  -Wstrict-prototypes -Wmissing-prototypes
  -fno-strict-aliasing -fno-common -ffp-contract=off)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  target_compile_options(sardonyx_flags INTERFACE -Wno-unknown-warning-option -Wno-gnu-alignof-expression)
endif()
if(NOT SARDONYX_SANITIZE)
  target_compile_options(sardonyx_flags INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection
    $<$<C_COMPILER_ID:GNU>:-ftrivial-auto-var-init=zero>
    $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=3>)
  target_link_options(sardonyx_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs)
else()
  # Instrumented expressions hide their value ranges from -Wconversion; the plain builds keep that warning.
  target_compile_options(sardonyx_flags INTERFACE -fsanitize=${SARDONYX_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all -Wno-conversion)
  target_link_options(sardonyx_flags INTERFACE -fsanitize=${SARDONYX_SANITIZE})
endif()
if(SARDONYX_COVERAGE)
  target_compile_options(sardonyx_flags INTERFACE --coverage)
  target_link_options(sardonyx_flags INTERFACE --coverage)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2")
if(SARDONYX_FUZZ)
  target_compile_options(sardonyx_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
