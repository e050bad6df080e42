package org.ftcluster.worker.tensor.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.NativeException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** NVIDIA's compiler takes every kernel; where one is installed, which needs no GPU. */
class NvrtcTest {
  private static final List<String> FILES = KernelSources.FILES;
  private static final Pattern SOURCE_ENTRY =
      Pattern.compile("extern \"C\" __global__ void (\\w+)\\(([^)]*)\\)");
  private static final Pattern PTX_ENTRY =
      Pattern.compile("\\.visible \\.entry (\\w+)\\(([^)]*)\\)");

  @ParameterizedTest
  @FieldSource("FILES")
  void everyKernelCompiles(String file) {
    Nvrtc compiler = installed();
    Map<String, Integer> written = entries(SOURCE_ENTRY, KernelSources.of(file), ",");
    assertFalse(written.isEmpty());
    for (String architecture : List.of("sm_80", "sm_90")) {
      byte[] code = compile(compiler, file, DType.BFLOAT16, architecture, Nvrtc.Output.CUBIN);
      assertEquals("\u007fELF", new String(code, 0, 4, StandardCharsets.ISO_8859_1));
    }
    for (DType type : List.of(DType.FLOAT32, DType.BFLOAT16)) {
      byte[] text = compile(compiler, file, type, "compute_90", Nvrtc.Output.PTX);
      String ptx = new String(text, StandardCharsets.UTF_8);
      assertEquals(written, entries(PTX_ENTRY, ptx, "\\.param"));
    }
  }

  /** Names, and how many parameters each has. */
  private static Map<String, Integer> entries(Pattern pattern, String text, String mark) {
    Map<String, Integer> entries = new TreeMap<>();
    int before = mark.equals(",") ? 1 : 0;
    pattern
        .matcher(text)
        .results()
        .forEach(
            (MatchResult entry) ->
                entries.put(entry.group(1), before + count(entry.group(2), mark)));
    return entries;
  }

  private static int count(String text, String mark) {
    return (int) Pattern.compile(mark).matcher(text).results().count();
  }

  @Test
  void whatIsWrongIsSaidByTheCompiler() {
    Nvrtc compiler = installed();
    NativeException e =
        assertThrows(
            NativeException.class,
            () ->
                compiler.compile(
                    "wrong.cu", "int f() { return x; }", "sm_90", List.of(), Nvrtc.Output.CUBIN));
    assertTrue(
        e.getMessage().startsWith("wrong.cu can't be compiled for sm_90: ")
            && e.getMessage().contains("identifier \"x\" is undefined"),
        e.getMessage());
  }

  private static byte[] compile(
      Nvrtc compiler, String file, DType type, String architecture, Nvrtc.Output output) {
    return KernelCompiler.compile(compiler, file, type, type, architecture, output);
  }

  private static Nvrtc installed() {
    return Nvrtc.open()
        .orElseGet(
            () -> abort("no libnvrtc.so is installed; %s can name one".formatted(Nvrtc.VARIABLE)));
  }
}
