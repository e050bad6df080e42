package org.ftcluster.protocol.job;

/**
 * Where a value was written.
 *
 * @param source a file's name, or a {@code --set} flag
 * @param line counted from 1; 0 where lines mean nothing
 */
record Location(String source, int line) {
  @Override
  public String toString() {
    return line == 0 ? source : source + ":" + line;
  }
}
