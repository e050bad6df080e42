package org.ftcluster.cli.node;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/**
 * Tells programs that a node is ready.
 *
 * @param grpc where clients and workers reach a coordinator; a worker's is that of its coordinator
 * @param device what a worker computes on; left out for a coordinator
 */
record ReadyLine(
    String event,
    String role,
    String grpc,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable String device,
    long pid) {
  static ReadyLine coordinator(String grpc) {
    return of("coordinator", grpc, null);
  }

  static ReadyLine worker(String grpc, String device) {
    return of("worker", grpc, device);
  }

  private static ReadyLine of(String role, String grpc, @Nullable String device) {
    return new ReadyLine("ready", role, grpc, device, ProcessHandle.current().pid());
  }
}
