package org.ftcluster.worker.training;

import java.io.IOException;
import java.nio.file.Path;

/** A result that can't be written; the message is a sentence with the file and the reason. */
public final class OutputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  OutputException(Path file, IOException cause) {
    super("%s: can't be written: %s.".formatted(file, cause.getMessage()), cause);
  }
}
