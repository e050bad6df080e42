# Finds a JDK 25 or newer and exports JAVA_HOME. Sourced by cli/ftcluster and .ci/run; plain bash, no JVM is started.

FTCLUSTER_JDK=25

# Prints the major version of the JDK in folder $1; nothing where there is none.
jdk_version() {
  local line
  [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 0
  while IFS= read -r line; do
    case $line in
      JAVA_VERSION=*)
        line=${line#JAVA_VERSION=\"}
        printf '%s' "${line%%[!0-9]*}"
        return 0
        ;;
    esac
  done <"$1/release"
}

# Prints the folders to look in, the wanted ones first, one a line.
jdk_folders() {
  local java
  printf '%s\n' "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/* "${HOME:-}"/.sdkman/candidates/java/* "${HOME:-}"/.jdks/*
  [ -x /usr/libexec/java_home ] && /usr/libexec/java_home -v "$FTCLUSTER_JDK+" 2>/dev/null
  if java=$(command -v java); then
    java=$(readlink -f "$java" 2>/dev/null || printf '%s' "$java")
    printf '%s\n' "${java%/bin/java}"
  fi
}

find_jdk() {
  local folder version older=
  while IFS= read -r folder; do
    version=$(jdk_version "$folder")
    if [ "${version:-0}" -ge "$FTCLUSTER_JDK" ]; then
      export JAVA_HOME=$folder
      return 0
    fi
    case "$version:$older" in
      :*) ;;
      *"$folder"*) ;;
      *) older="$older, $folder ($version)" ;;
    esac
  done < <(jdk_folders)
  {
    echo "ftcluster needs a JDK $FTCLUSTER_JDK or newer (javac included), and there is none in JAVA_HOME, /usr/lib/jvm, /opt, ~/.sdkman, ~/.jdks or on PATH."
    [ -z "$older" ] || echo "Found, but too old: ${older#, }."
    echo "Install one (for instance from https://adoptium.net), or set JAVA_HOME to its folder."
  } >&2
  return 1
}
