package org.ftcluster.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.ftcluster.worker.tensor.NativeException;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** What of an exception reaches a user. */
class FailureReportTest {
  @Test
  void whatNativeCodeSaysIsASentence() {
    StringWriter err = new StringWriter();
    CommandLine command =
        new CommandLine(CommandLine.Model.CommandSpec.create()).setErr(new PrintWriter(err, true));

    int exitCode =
        new FailureReport(new String[0])
            .handleExecutionException(
                new NativeException("cuMemAlloc_v2 failed: out of memory"), command, null);

    assertEquals(1, exitCode);
    assertEquals(
        "ftcluster: libtorch or the GPU gave up: cuMemAlloc_v2 failed: out of memory",
        err.toString().strip());
  }
}
