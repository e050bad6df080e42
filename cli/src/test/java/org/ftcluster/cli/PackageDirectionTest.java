package org.ftcluster.cli;

import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Command families may share what lies below them, and never need each other in a circle. */
@AnalyzeClasses(packages = "org.ftcluster.cli", importOptions = DoNotIncludeTests.class)
class PackageDirectionTest {
  @ArchTest
  static final ArchRule NO_CYCLES =
      slices().matching("org.ftcluster.cli.(*)..").should().beFreeOfCycles();
}
