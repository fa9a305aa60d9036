"""The PyInstaller hook: adds the data files of the SDK to a program that imports it."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("gigachat")
