package org.ftcluster.cli.node;

/**
 * Tells programs that a node is ready.
 *
 * @param grpc where clients and workers reach a coordinator; a worker's is that of its coordinator
 */
record ReadyLine(String event, String role, String grpc, long pid) {
  static ReadyLine of(String role, String grpc) {
    return new ReadyLine("ready", role, grpc, ProcessHandle.current().pid());
  }
}
