package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.junit.jupiter.api.Test;

class RankFailureTest {
  /** More than a process's addresses. */
  private static final long BYTES = 1L << 47;

  private static final long HEAD = 64;

  @Test
  void whatLibtorchSaysWhenItFindsNoMemoryIsTheWorkersAndNotTheJobs() {
    NativeException failure = assertThrows(NativeException.class, RankFailureTest::exhaustMemory);
    assertTrue(RankFailure.isOutOfMemory(new IllegalStateException("a layer failed", failure)));
    assertEquals(Cause.WORKER_ERROR, RankFailure.cause(failure));
    String sentence = RankFailure.sentence(failure);
    assertTrue(sentence.startsWith("the worker is out of memory: "), sentence);
    assertTrue(sentence.contains(Long.toString(BYTES)), sentence);
    assertFalse(sentence.contains("\n"), sentence);
  }

  @Test
  void otherNativeErrorsAreNotTakenForIt() {
    assertFalse(RankFailure.isOutOfMemory(new NativeException("mm: shapes don't fit")));
  }

  /** Attention allocates its output before it reads what it is given, which isn't there. */
  private static void exhaustMemory() {
    try (Workspace workspace = new Workspace(1 << 20);
        Scope scope = workspace.open()) {
      MemorySegment nowhere = MemorySegment.ofAddress(HEAD).reinterpret(BYTES);
      long tokens = BYTES / Float.BYTES / HEAD;
      Tensor huge = scope.wrap(nowhere, DType.FLOAT32, 1, 1, tokens, HEAD);
      Aten.attention(scope, huge, huge, huge, null, 1);
    }
  }
}
