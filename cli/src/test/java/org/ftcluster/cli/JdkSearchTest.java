package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which JDK the launch script takes. */
class JdkSearchTest {
  @TempDir private Path folder;

  @Test
  void theOneNamedByJavaHomeWhereItIsNewEnough() throws Exception {
    assertEquals(jdk("26.0.1"), search(jdk("26.0.1")));
  }

  @Test
  void anotherWhereJavaHomeIsTooOldOrNoJdk() throws Exception {
    assertNotEquals(jdk("21.0.2"), search(jdk("21.0.2")));
    assertNotEquals(folder.toString(), search(folder.toString()));
  }

  /** The folder of a JDK that says it has this version. */
  private String jdk(String version) throws IOException {
    Path jdk = folder.resolve(version);
    Files.createDirectories(jdk.resolve("bin"));
    Path compiler = Files.write(jdk.resolve("bin/javac"), new byte[0]);
    if (!compiler.toFile().setExecutable(true)) {
      throw new IOException(compiler + " can't be made executable");
    }
    Files.writeString(
        jdk.resolve("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"%s\"\n".formatted(version));
    return jdk.toString();
  }

  private static String search(String javaHome) throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder("bash", "-c", ". ./jdk.sh && find_jdk && printf %s \"$JAVA_HOME\"")
            .redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put("JAVA_HOME", javaHome);
    Process process = builder.start();
    String found = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor());
    return found;
  }
}
