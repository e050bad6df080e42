package org.ftcluster.worker.safetensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Takes bytes piece after piece; each is the caller's again when the call has returned. */
@FunctionalInterface
public interface PieceSink {
  void take(MemorySegment piece) throws IOException;
}
